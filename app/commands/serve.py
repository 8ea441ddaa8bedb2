"""`terrarium serve`: answer the programs of this computer that speak OpenAI's API, with one model."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from typing import Any

from app.commands.common import UsageError, add_common, add_weights, find_model, open_model, print_json
from app.serve.endpoint.activity import Activity, Call
from app.serve.endpoint.address import DEFAULT_PORT, bind, url_of
from app.serve.endpoint.engine import Loan, Served
from models.inference.weight_kinds import KINDS


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add this command's options."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "serve",
        help="answer programs that speak OpenAI's API",
        description=__doc__,
        epilog="Only programs on this computer reach it (127.0.0.1). Ctrl-C ends it.",
    )
    parser.add_argument("model", metavar="MODEL", help="a path, or a run's id or name")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"0 takes any that is free (default: {DEFAULT_PORT})"
    )
    add_weights(parser)
    add_common(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    if not 0 <= args.port <= 65535:
        raise UsageError(f"--port is {args.port}, but must be between 0 (any that is free) and 65535.")
    from app.serve.endpoint.endpoints import make_endpoint
    from app.serve.endpoint.http_server import HttpServer
    from app.serve.endpoint.thread_engine import ThreadEngine

    bound = bind(args.port)  # before the model is read, which can take a while
    with bound:
        served = open_served(args.model, args.device, args.weights)
        engine = ThreadEngine(served)
        activity = Activity(write_call)
        server = HttpServer(make_endpoint(engine, activity), lambda: engine.close("Serving has been stopped."))
        _announce(served, url_of(bound), as_json=args.json)
        with contextlib.suppress(KeyboardInterrupt):  # how one stops it
            server.answer_at(bound)
    return 0


def open_served(text: str, device: str, weights: str = KINDS[0]) -> Served:
    """Load the model, under the names that requests may call it by: a run's name and id, or a file's or folder's."""
    from models.interop.chat_templates import read_template_config
    from models.library.run_record import checkpoint_step
    from models.runs.run_folder import RunFolder

    path = find_model(text)
    names: tuple[str, ...] = (path.absolute().name,)
    step = None
    if (path / "run.json").exists():
        run = RunFolder.open(path)
        names = run.name, run.id
        checkpoint = run.latest_checkpoint()
        step = checkpoint_step(checkpoint) if checkpoint is not None else None
    model, tokenizer, _ = open_model(text, device, weights)
    return Served(
        name=names[0],
        other_names=(*names[1:], text),
        created=int(path.stat().st_mtime),
        config=model.config,
        tokenizer=tokenizer,
        form=read_template_config(path),
        lend=lambda: Loan(model=model, step=step),
    )


def _announce(served: Served, url: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url, "model": served.name})
        sys.stdout.flush()
        return
    print(url, flush=True)
    print(f"“{served.name}” answers there, for programs on this computer. Ctrl-C ends it.", file=sys.stderr)


def write_call(call: Call) -> None:
    """One line on stderr for each request; a path may hold characters that would steer the terminal."""
    at = time.strftime("%H:%M:%S")
    if call.state == "refused":
        words = f"refused: {call.note}"
    else:
        words = f"{call.n_prompt} tokens read, {call.n_made} made in {call.seconds:.1f} s; {call.state}: {call.note}"
    line = "".join(c if c.isprintable() else "�" for c in f"{call.kind}: {words}")
    print(f"{at} {line}", file=sys.stderr, flush=True)
