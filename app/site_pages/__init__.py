"""The pages of the app, one module each. Streamlit would run the modules of a folder named `pages` as scripts."""
