"""The commands that serve a store: serve in the browser, mcp to assistants."""

import sys
from typing import Annotated

import typer

from ris.cli.output import say, write, write_json
from ris.cli.parameters import Json, Store
from ris.extras import require


def serve(
    store: Store,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 is open to the whole network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    names: Annotated[
        list[str],
        typer.Option(
            "--name",
            help="Name under which browsers may ask for it, beside this machine's own; may be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    token: Annotated[
        str | None,
        typer.Option(
            envvar="RIS_TOKEN",
            help="What writing needs; better in the variable. A new one without it.",
            show_default=False,
        ),
    ] = None,
    urls: Annotated[
        bool, typer.Option("--urls", help="A query may also be an http or https address.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve a store in the browser, with an HTTP API.

    Listens on this machine alone without --host. Reading is open; writing needs the token that is
    printed. The API describes itself at /docs.

    [bold]Examples[/bold]

      ris serve photos.ris
      ris serve photos.ris --port 8080
      RIS_TOKEN=... ris serve photos.ris --host 0.0.0.0 --name pictures.example.org
    """
    require("server", to="serve a store")
    from ris.engine import SearchEngine
    from ris.serve import Settings
    from ris.serve.server import bound, configured
    from ris.serve.settings import new_token

    settings = Settings(host=host, port=port, hosts=tuple(names), token=token or new_token(), urls=urls)
    with SearchEngine.open(store, urls=urls) as engine, bound(settings) as listener:
        listener.listen()
        place = f"[{host}]" if ":" in host else host
        url = f"http://{place}:{listener.getsockname()[1]}/"
        if json:
            write_json({"url": url, "token": settings.token})
        else:
            write(f"The page: {url}")
            write(f"Writing needs this token: {settings.token}")
            say("Ctrl-C ends it.")
        sys.stdout.flush()
        configured(engine, settings).run([listener])


def mcp(
    store: Store,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="RIS_TOKEN",
            help="What the tool that syncs the store needs; without it nothing can be changed.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Serve a store to an assistant, by the Model Context Protocol.

    It speaks on stdin and stdout, so the assistant starts it itself. Its tools search, find, list
    duplicates and show a picture; none deletes a file.

    [bold]Examples[/bold]

      ris mcp photos.ris
      RIS_TOKEN=... ris mcp photos.ris
    """
    require("mcp", to="serve a store to assistants")
    from ris.engine import SearchEngine
    from ris.mcp import server

    with SearchEngine.open(store) as engine:
        server(engine, token or None).run()
