"""`paraformer demo-page`: a local web page to speak to a model."""

from typing import Annotated

import typer

from paraformer_platform.cli.options import CheckpointOption, StrategyOption

DEFAULT_PORT = 8765


def demo_page(
    checkpoint: CheckpointOption,
    port: Annotated[
        int, typer.Option(help="Port on this machine; 0 takes any that is free.", min=0, max=65535)
    ] = DEFAULT_PORT,
    strategy: StrategyOption = None,
    max_seconds: Annotated[float, typer.Option(help="Longest recording.", min=1.0)] = 30.0,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser.")] = False,
) -> None:
    """Serve a page that records or takes audio, and shows how a model understands it.

    Text with confidences, spectrogram, the moments at which the predictor fires, and attention. The page is
    for this machine only (127.0.0.1) and asks nobody else for anything. Ctrl-C ends it.
    """
    from paraformer_platform.demo.server import Demo, DemoServer

    with DemoServer(Demo.load(checkpoint, strategy, max_seconds), port) as server:
        typer.echo(f"{checkpoint}: open {server.address} in a browser; Ctrl-C ends it")
        if browser:
            import webbrowser

            webbrowser.open(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("ended", err=True)
