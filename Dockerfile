# The server, on CPU. Not built in CI: docs/how-to/serve.md says how it is used.
FROM python:3.11-slim AS build
COPY . /source
RUN pip install --no-cache-dir --prefix=/installed --extra-index-url https://download.pytorch.org/whl/cpu "/source[server]"

FROM python:3.11-slim
COPY --from=build /installed /usr/local
RUN useradd --create-home ris
USER ris
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]
ENTRYPOINT ["ris"]
CMD ["serve", "/store", "--host", "0.0.0.0"]
