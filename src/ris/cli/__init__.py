"""The command `ris`: a folder of pictures becomes a store, and pictures are looked for in it."""


def main() -> None:
    """Run the command with the arguments that it was given, and exit."""
    from ris.cli.ending import ended_in_time, gracefully

    with gracefully(), ended_in_time():
        from ris.cli.app import app

        app(prog_name="ris")
