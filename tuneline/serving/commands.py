"""`tuneline serve`: adapters behind OpenAI's chat completions."""

import gc

import click


@click.command()
@click.argument("adapters", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Another than loopback needs TUNELINE_TOKEN.")
@click.option("--port", type=click.IntRange(0, 65535), default=8780, show_default=True, help="0: a free one.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Answers in flight.")
@click.option(
    "--max-new-tokens", type=click.IntRange(1), default=256, show_default=True, help="Where a request names none."
)
@click.option("--waiting", type=click.IntRange(1), default=256, show_default=True, help="Requests; beyond, 429.")
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), default=120, show_default=True, help="Seconds a request."
)
def serve(
    adapters: tuple[str, ...], host: str, port: int, batch_size: int, max_new_tokens: int, waiting: int, timeout: float
) -> None:
    """Answer as ADAPTERS, or all of adapters/, on --host and --port: OpenAI's chat completions.

    They are of one base, which is loaded once; each is a model, by its folder's name or as NAME=FOLDER, and the base is
    one too. What they answer is what `tuneline predict` prints.
    """
    from tuneline import http_service
    from tuneline.serving.voices import named_folders

    folders = named_folders(adapters)
    token = http_service.token_for(host)
    listening = http_service.listen(host, port)

    from tuneline.serving.server import GRACE, Settings, create_app
    from tuneline.serving.voices import Voices

    voices = Voices(folders)
    app = create_app(voices, Settings(batch_size, max_new_tokens, waiting, timeout, token))
    gc.collect()
    gc.freeze()  # else a full collection looks through all that was imported

    def stopping() -> None:
        rows, waited = app.state.desk.engine.stop(GRACE)
        if rows or waited:
            click.echo(f"{rows} answers in flight have {GRACE:g} seconds; {waited} that wait are refused", err=True)

    http_service.run(app, listening, host, f"/v1 answers as {', '.join(voices.named)}", stopping)
