"""The HTTP server of a model: MLflow's, with limits on what one request may hold."""

import asyncio
from typing import NoReturn

import mlflow
import pandas as pd
import uvicorn
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PyFuncModel, scoring_server
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 64 << 20  # bytes of a request: images of 48 MB together, as base64
MAX_IMAGES = 256  # of a request
MAX_REQUESTS = 32  # whose bodies are in memory; others wait
TYPES = ("application/json", "text/csv")  # of MLflow's, without Parquet, whose few bytes may unpack to gigabytes
LOCAL = ("127.0.0.1", "localhost")


def run(uri: str, host: str, port: int) -> None:
    """Serve a model until Ctrl-C; uri: a registered version, or a folder."""
    app = scoring_server.init(LimitedModel(mlflow.pyfunc.load_model(uri)))  # type: ignore[arg-type]
    app.add_middleware(LimitedRequests)
    if host in LOCAL:  # other names are refused, against DNS rebinding
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL))
    uvicorn.run(app, host=host, port=port)


class LimitedModel:
    """A model that predicts a limited number of images at once."""

    def __init__(self, model: PyFuncModel) -> None:
        self.model, self.metadata = model, model.metadata

    def predict(self, data: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """Predict. Raises MlflowException, which is status 400, for too many images, and params that it does not have.

        MLflow passes over unknown params.
        """
        if len(data) > MAX_IMAGES:
            refuse(f"{len(data)} images in one request, at most {MAX_IMAGES} are taken: send several requests")
        known = [param.name for param in self.metadata.get_params_schema() or ()]
        unknown = [name for name in params if name not in known] if isinstance(params, dict) else []
        if unknown:
            refuse(f"{unknown[0]!r} is not a param of this model; it has: {', '.join(known) or 'none'}")
        return self.model.predict(data, params=params)


def refuse(message: str) -> NoReturn:
    """End a request with status 400."""
    raise MlflowException(message, error_code=INVALID_PARAMETER_VALUE)


class LimitedRequests:
    """Middleware that refuses a large body while it arrives, and types of content that are not read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.places = app, asyncio.Semaphore(MAX_REQUESTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on in its turn, or refuse it by status 400, 413 or 415."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("content-type", "").split(";")[0].strip() not in TYPES:
            await PlainTextResponse(f"Content-Type must be {' or '.join(TYPES)}\n", 415)(scope, receive, send)
            return
        length = headers.get("content-length", "")
        async with self.places:
            body = None if length.isdecimal() and int(length) > MAX_BODY else await read(receive)
            if body is None:
                text = f"The request is larger than {MAX_BODY >> 20} MiB\n"
                await PlainTextResponse(text, 413)(scope, receive, send)
                return
            try:
                await self.app(scope, replay(body, receive), send)
            except RecursionError:
                await PlainTextResponse("The JSON is nested too deeply\n", 400)(scope, receive, send)


async def read(receive: Receive) -> bytes | None:
    """A request's body; None if it is too large."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MAX_BODY:
            return None
    return bytes(body)


def replay(body: bytes, receive: Receive) -> Receive:
    """Messages of a request whose body has been read: the body, then what follows."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return messages.pop() if messages else await receive()

    return next_message
