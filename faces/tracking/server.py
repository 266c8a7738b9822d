"""The HTTP server of a model: MLflow's, with limits on what one request may hold."""

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
MAX_CONNECTIONS = 32
TYPES = ("application/json", "text/csv")  # of MLflow's, without Parquet, whose few bytes may unpack to gigabytes
LOCAL = ("127.0.0.1", "localhost")


def run(uri: str, host: str, port: int) -> None:
    """Serve a model until Ctrl-C; uri: a registered version, or a folder."""
    app = scoring_server.init(LimitedModel(mlflow.pyfunc.load_model(uri)))  # type: ignore[arg-type]
    app.add_middleware(LimitedRequests)
    if host in LOCAL:  # other names are refused, against DNS rebinding
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(LOCAL))
    uvicorn.run(app, host=host, port=port, limit_concurrency=MAX_CONNECTIONS)


class LimitedModel:
    """A model that predicts a limited number of images at once."""

    def __init__(self, model: PyFuncModel) -> None:
        self.model, self.metadata = model, model.metadata

    def predict(self, data: pd.DataFrame, params: dict | None = None) -> pd.DataFrame:
        """Predict. Raises MlflowException, which is status 400, for too many images."""
        if len(data) > MAX_IMAGES:
            message = f"{len(data)} images in one request, at most {MAX_IMAGES} are taken: send several requests"
            raise MlflowException(message, error_code=INVALID_PARAMETER_VALUE)
        return self.model.predict(data, params=params)


class LimitedRequests:
    """Middleware that refuses a large body while it arrives, and types of content that are not read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it by status 413 or 415."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("content-type", "").split(";")[0].strip() not in TYPES:
            await PlainTextResponse(f"Content-Type must be {' or '.join(TYPES)}\n", 415)(scope, receive, send)
            return
        length = headers.get("content-length", "")
        body = None if length.isdecimal() and int(length) > MAX_BODY else await read(receive)
        if body is None:
            await PlainTextResponse(f"The request is larger than {MAX_BODY >> 20} MiB\n", 413)(scope, receive, send)
            return
        await self.app(scope, replay(body, receive), send)


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
