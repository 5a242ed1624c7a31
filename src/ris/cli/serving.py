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
    version: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only read, and stay on this version until told another; `ris restore` lists them.",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Only read, and take up each new version.")
    ] = False,
    urls: Annotated[
        bool, typer.Option("--urls", help="A query may also be an http or https address.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve a store in the browser, with an HTTP API.

    Listens on this machine alone without --host. Reading is open; writing needs the token that is
    printed. The API describes itself at /docs. With --version or --follow it is a replica, which only reads:
    run as many as you like on one store.

    [bold]Examples[/bold]

      ris serve photos.ris
      ris serve photos.ris --port 8080
      ris serve s3://bucket/photos.ris --follow
      RIS_TOKEN=... ris serve photos.ris --host 0.0.0.0 --name pictures.example.org
    """
    require("server", to="serve a store")
    from ris.engine import SearchEngine
    from ris.serve import Settings
    from ris.serve.server import bound, configured
    from ris.serve.settings import new_token

    if follow and version is not None:
        raise typer.BadParameter("a replica stays on a version or follows; leave --version or --follow out")
    settings = Settings(
        host=host,
        port=port,
        hosts=tuple(names),
        token=token or new_token(),
        read_only=follow or version is not None,
        version=version,
        urls=urls,
    )
    with (
        SearchEngine.open(store, version=version, read_only=settings.read_only, urls=urls) as engine,
        bound(settings) as listener,
    ):
        listener.listen()
        place = f"[{host}]" if ":" in host else host
        url = f"http://{place}:{listener.getsockname()[1]}/"
        if json:
            write_json({"url": url, "token": settings.token})
        else:
            write(f"The page: {url}")
            if follow:
                write("It only reads, and takes up each new version.")
            elif version is not None:
                write(
                    f"It only reads version {version}; taking up another needs this token: {settings.token}"
                )
            else:
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
