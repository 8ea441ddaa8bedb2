"""`terrarium serve`: serve a model to programs on this computer through OpenAI's API."""

from __future__ import annotations

import contextlib
import sys
import time

from terrarium.app.commands.common import UsageError, find_model, model_argument, open_model, weights_option
from terrarium.app.commands.options import Command, option, print_json
from terrarium.app.serve.endpoint.engine import ModelLease, ServedModel
from terrarium.app.serve.endpoint.http_server import DEFAULT_PORT, base_url, bind
from terrarium.app.serve.endpoint.request_log import RequestLog, RequestRecord
from terrarium.models.inference.weight_kinds import KINDS


class Serve(
    Command,
    description=__doc__,
    epilog="Only programs on this computer can reach it (127.0.0.1). Press Ctrl-C to stop.",
):
    """Serve a model through OpenAI's API."""

    model: str = model_argument()
    port: int = option("0 takes any free port", default=DEFAULT_PORT)
    weights: str = weights_option()

    def run(self) -> None:
        """Serve until Ctrl-C."""
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port is {self.port}, but must be from 0 (any free port) to 65535.")
        from terrarium.app.serve.endpoint.endpoints import make_endpoint
        from terrarium.app.serve.endpoint.engine import ThreadEngine
        from terrarium.app.serve.endpoint.http_server import HttpServer

        bound = bind(self.port)  # before loading the model, which can take a while
        with bound:
            served = open_served(self.model, self.device, self.weights)
            if served.config.topology == "encoder-only" or served.config.head != "language":
                raise ValueError(f"“{served.name}” writes no text, so it cannot be served: choose another model.")
            engine = ThreadEngine(served)
            log = RequestLog(log_request)
            server = HttpServer(make_endpoint(engine, log), lambda: engine.close("Serving has been stopped."))
            _announce(served, base_url(bound), as_json=self.as_json)
            with contextlib.suppress(KeyboardInterrupt):  # the regular way to stop it
                server.serve_on(bound)


def open_served(text: str, device: str, weights: str = KINDS[0]) -> ServedModel:
    """Load the model, with the names that requests may use: a run's name and id, or the name of a file or folder."""
    from terrarium.models.interop.chat_templates import read_template_config
    from terrarium.models.library.run_record import checkpoint_step
    from terrarium.models.runs.run_folder import RunFolder

    path = find_model(text)
    names: tuple[str, ...] = (path.absolute().name,)
    step = None
    if (path / "run.json").exists():
        run = RunFolder.open(path)
        names = run.name, run.id
        checkpoint = run.latest_checkpoint()
        step = checkpoint_step(checkpoint) if checkpoint is not None else None
    model, tokenizer, _ = open_model(text, device, weights)
    return ServedModel(
        name=names[0],
        other_names=(*names[1:], text),
        created=int(path.stat().st_mtime),
        config=model.config,
        tokenizer=tokenizer,
        template_config=read_template_config(path),
        acquire=lambda: ModelLease(model=model, step=step),
    )


def _announce(served: ServedModel, url: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url, "model": served.name})
        sys.stdout.flush()
        return
    print(url, flush=True)
    print(f"“{served.name}” is served there to programs on this computer. Press Ctrl-C to stop.", file=sys.stderr)


def log_request(request: RequestRecord) -> None:
    """Write a line on a request to stderr, without characters that could control the terminal."""
    at = time.strftime("%H:%M:%S")
    if request.state == "refused":
        text = f"refused: {request.note}"
    else:
        tokens = f"{request.n_prompt} tokens read, {request.n_made} generated in {request.seconds:.1f} s"
        text = f"{tokens}; {request.state}: {request.note}"
    line = "".join(c if c.isprintable() else "�" for c in f"{request.kind}: {text}")
    print(f"{at} {line}", file=sys.stderr, flush=True)
