"""The command `nunmal`: up (everything in one process), web, worker, ingest (reads documents, digests articles), fleet
(several workers); beside a running service: dead (failed answers), users, keys, adapters, votes (for training), audit,
doctor (is all set up well), backup, restore, migrate; and train, which tunes a model offline.

Exit codes: 0 ended as asked, 1 refused or a service it needs is away, 2 it was set up wrongly. One line says why.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from infra.gpus import gpu_name
from shared.chat import AccountRole
from shared.errors import ConfigError, ModelError, NunmalError
from shared.scopes import SCOPES
from shared.settings import Settings, load_settings, pin_gpu


def main() -> None:
    """Entry point of the console script.

    Everything was closed in order by then, so the interpreter is not taken apart: with PyTorch in it that takes a
    second or more, and an operator who pressed Ctrl-C waits for it.
    """
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run(arguments: list[str]) -> int:
    parser = _parser()
    options, beyond = parser.parse_known_args(arguments)
    if options.command == "train":
        return _train(beyond)
    if beyond:
        parser.error(f"unrecognized arguments: {' '.join(beyond)}")
    try:
        web = {name: value for name in ("host", "port") if (value := getattr(options, name, None)) is not None}
        worker = {"device": "cuda"} if getattr(options, "gpu", None) is not None else {}
        _start(options, load_settings(web=web, worker=worker))
    except KeyboardInterrupt:
        return 130
    except NunmalError as error:
        return _explain(error)
    except BaseExceptionGroup as group:  # what a TaskGroup raises
        ours, others = group.split(NunmalError)
        if ours is None or others is not None:
            raise
        return _explain(next(_leaves(ours)))
    return 0


def _train(arguments: list[str]) -> int:
    """A process of its own, with its own options: training is another room, and may be installed without the others."""
    try:
        return subprocess.run([sys.executable, "-m", "training.tune", *arguments]).returncode  # noqa: S603
    except KeyboardInterrupt:  # the terminal interrupts both; training has said what there was to say
        return 130


def _explain(error: NunmalError) -> int:
    sys.stderr.write(f"nunmal: {error}\n")
    return 2 if isinstance(error, ConfigError | ModelError) else 1


def _start(options: argparse.Namespace, settings: Settings) -> None:
    # Each room is imported only when it is asked for: `nunmal web` runs without torch.
    if options.command == "up":
        from infra.up import up

        up(settings)
    elif options.command == "web":
        from web.__main__ import main as serve_web

        serve_web(settings)
    elif options.command == "ingest":
        from workers.job_worker import main as serve_ingest

        serve_ingest(settings)
    elif options.command == "fleet":
        from infra.fleet import fleet

        fleet(settings, gpus=options.gpus, workers=options.workers)
    elif options.command == "dead":
        from infra.dead import dead

        dead(settings, options.action, [] if options.action == "list" else options.ids)
    elif options.command in ("backup", "restore"):
        from infra import backup

        act = backup.backup if options.command == "backup" else backup.restore
        act(settings, options.directory)
    elif options.command == "migrate":
        from infra.migrations.run import migrate

        migrate(settings, only_list=options.list)
    elif options.command == "doctor":
        from infra.doctor import doctor

        doctor(settings)
    elif options.command in ("users", "keys", "audit"):
        _operate(options, settings)
    elif options.command == "adapters":
        _adapt(options, settings)
    elif options.command == "documents":
        from infra import documents

        documents.reindex(settings, only_list=options.list, wait=options.wait)
    elif options.command == "votes":
        from infra import votes

        votes.export(settings, options.out)
    else:
        if options.gpu is not None:
            pin_gpu(gpu_name(options.gpu))  # before torch is imported
        from workers.__main__ import main as serve_worker

        serve_worker(settings, is_supervised=options.supervised)


def _operate(options: argparse.Namespace, settings: Settings) -> None:
    if options.command == "users":
        from infra import users

        if options.action == "create":
            users.create(settings, options.email, options.name, AccountRole(options.role))
        elif options.action == "list":
            users.show(settings)
        elif options.action == "role":
            users.change_role(settings, options.email, AccountRole(options.role))
        else:
            users.reset(settings, options.email, without_second_step=options.without_second_step)
    elif options.command == "keys":
        from infra import keys

        if options.action == "create":
            keys.create(settings, options.email, options.name, options.scopes, options.expires_days)
        elif options.action == "list":
            keys.show(settings, options.email)
        else:
            keys.revoke(settings, options.id)
    else:
        from infra import audit

        if options.action == "verify":
            audit.verify(settings, options.head or "")
        else:
            audit.show(settings, options.last)


def _adapt(options: argparse.Namespace, settings: Settings) -> None:
    from infra import adapters

    if options.action == "push":
        adapters.push(settings, options.directory, options.name)
    elif options.action == "list":
        adapters.show(settings, options.name)
    elif options.action == "diff":
        adapters.diff(settings, options.one, options.other)
    elif options.action == "activate":
        adapters.activate(settings, options.adapter, options.timeout_s, options.override_gate)
    elif options.action == "canary":
        adapters.canary(settings, options.adapter, options.share, options.timeout_s)
    elif options.action == "rollback":
        adapters.rollback(settings, options.name, options.timeout_s)
    else:
        adapters.retire_version(settings, options.adapter)


def _leaves(group: BaseExceptionGroup[NunmalError]) -> Iterator[NunmalError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _count_from_0(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return int(text)


def _count_from_1(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _scopes(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := set(chosen) - set(SCOPES):
        raise argparse.ArgumentTypeError(f"{unknown.pop()!r} is none of {', '.join(SCOPES)}")
    return sorted(set(chosen))


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)%", text)
    if not match or float(match[1]) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0% to 100%")
    return float(match[1]) / 100


def _hash(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a hash as `nunmal audit verify` prints it")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="nunmal",
        description="Nunmal, an event-driven Korean chat service. Settings: NUNMAL_* variables, see .env.example.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="web, one worker, broker and store together, for one machine")
    web = commands.add_parser("web", help="one web node; needs NUNMAL_BROKER_URL, NUNMAL_STORE_URL, NUNMAL_SECRET_KEY")
    worker = commands.add_parser("worker", help="one worker; needs NUNMAL_BROKER_URL and NUNMAL_STORE_URL")
    worker.add_argument("--gpu", type=_count_from_0, metavar="N", help="run on this GPU, as nvidia-smi counts them")
    worker.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)  # infra/fleet.py holds its stdin
    commands.add_parser(
        "ingest",
        help="reads documents, digests articles; needs what a worker needs, without a model",
    )
    fleet = commands.add_parser("fleet", help="several workers, restarted when one dies; needs what a worker needs")
    places = fleet.add_mutually_exclusive_group(required=True)
    places.add_argument("--gpus", metavar="all|0,2", help="one worker on each of these GPUs")
    places.add_argument("--workers", type=_count_from_1, metavar="N", help="N workers that share the CPU cores")
    dead = commands.add_parser("dead", help="answers that failed three times without a token")
    actions = dead.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="id, when (UTC), lane, attempts and reason of each, one a line")
    for name, sentence in (("replay", "let workers try again"), ("drop", "leave failed and list no more")):
        action = actions.add_parser(name, help=sentence)
        which = action.add_mutually_exclusive_group(required=True)
        which.add_argument("ids", nargs="*", default=[], metavar="ID", help="as `nunmal dead list` names it")
        which.add_argument("--all", action="store_true", help="all of them")
    _add_users(
        commands.add_parser("users", help="accounts: make, list, change the role, give a link for a new password")
    )
    _add_keys(commands.add_parser("keys", help="API keys: make, list, revoke"))
    _add_adapters(commands.add_parser("adapters", help="adapters: push, list, compare, take into use, go back, retire"))
    votes = commands.add_parser("votes", help="what people said of answers, of those who agreed, as rows for training")
    votes_actions = votes.add_subparsers(dest="action", required=True, metavar="ACTION")
    votes_export = votes_actions.add_parser("export", help="write them into a new file; prints what was left out")
    votes_export.add_argument("--out", type=Path, required=True, metavar="FILE")
    documents = commands.add_parser("documents", help="what people uploaded to be asked")
    documents_actions = documents.add_subparsers(dest="action", required=True, metavar="ACTION")
    anew = documents_actions.add_parser("reindex", help="index anew what has another index than settings say")
    anew.add_argument("--list", action="store_true", help="only say how many")
    anew.add_argument("--wait", action="store_true", help="until all are; fails if some cannot be")
    _add_audit(commands.add_parser("audit", help="who did what; whether the records are still what was written"))
    backup = commands.add_parser("backup", help="write the whole store into DIR, while the service runs")
    restore = commands.add_parser("restore", help="fill an empty store from DIR, before anything runs")
    for command in (backup, restore):
        command.add_argument("directory", type=Path, metavar="DIR")
    migrate = commands.add_parser("migrate", help="change documents to this version's shape, while everything serves")
    migrate.add_argument("--list", action="store_true", help="only say what is pending")
    commands.add_parser("doctor", help="look at broker, store, model, GPU, disk, clock, versions; say what to do")
    commands.add_parser(
        "train", add_help=False, help="tune a model by a recipe; `nunmal train --help` has its own options"
    )
    for command in (up, web):
        command.add_argument("--host", help="address to serve on (NUNMAL_WEB__HOST)")
        command.add_argument("--port", type=int, help="port to serve on, 0 for a free one (NUNMAL_WEB__PORT)")
    return parser


def _add_users(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    roles = [str(role) for role in AccountRole]
    create = actions.add_parser("create", help="password on standard input; prints the new account's id")
    create.add_argument("email", metavar="EMAIL")
    create.add_argument("--name", required=True, help="as others see it")
    create.add_argument("--role", choices=roles, default=str(AccountRole.USER), help="user, if not given")
    actions.add_parser("list", help="id, made (UTC), role, e-mail and name of each, one a line")
    role = actions.add_parser("role", help="change what an account may do; its owner logs in again")
    role.add_argument("email", metavar="EMAIL")
    role.add_argument("role", choices=roles)
    reset = actions.add_parser("reset", help="print a one-time link to choose a new password, good for a day")
    reset.add_argument("email", metavar="EMAIL")
    reset.add_argument(
        "--without-second-step", action="store_true", help="for who lost phone and codes, or did not set it"
    )


def _add_keys(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    create = actions.add_parser("create", help="print the secret of a new key; nobody can read it again")
    create.add_argument("email", metavar="EMAIL")
    create.add_argument("--name", default="", help="what it is for")
    create.add_argument("--scopes", type=_scopes, default=list(SCOPES), metavar="A,B", help=f"of {','.join(SCOPES)}")
    create.add_argument("--expires-days", type=_count_from_1, metavar="N", help="never, if not given")
    listing = actions.add_parser("list", help="id, hint, made, last used, expires (UTC), scopes and name, one a line")
    listing.add_argument("email", metavar="EMAIL")
    revoke = actions.add_parser("revoke", help="from now on the key opens nothing")
    revoke.add_argument("id", metavar="ID", help="as `nunmal keys list` names it")


def _add_adapters(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    version = "as `nunmal adapters list` names it (name@digest)"
    push = actions.add_parser("push", help="check a folder and keep it; prints the version's id")
    push.add_argument("directory", type=Path, metavar="DIR", help="as training writes it")
    push.add_argument("--name", required=True, help="of which this is a version, for example wallpaper")
    listing = actions.add_parser("list", help="id, pushed (UTC), use, method, rank, size and base, one a line")
    listing.add_argument("name", nargs="?", metavar="NAME", help="all, if not given")
    diff = actions.add_parser("diff", help="what two versions differ in, one a line")
    for which in ("one", "other"):
        diff.add_argument(which, metavar="ID", help=version)
    activate = actions.add_parser("activate", help="answer with it, once every worker has tested it")
    canary = actions.add_parser("canary", help="the same for a share of conversations; 0%% ends it")
    retire = actions.add_parser("retire", help="a version that is not in use: its files go")
    for action in (activate, canary, retire):
        action.add_argument("adapter", metavar="ID", help=version)
    activate.add_argument("--override-gate", metavar="REASON", help="use it whatever the gate says; recorded")
    canary.add_argument("share", type=_share, metavar="SHARE", help="for example 10%%")
    rollback = actions.add_parser(
        "rollback", help="call off what is being rolled out, or go back to the version before"
    )
    rollback.add_argument("name", metavar="NAME")
    for action in (activate, canary, rollback):
        action.add_argument(
            "--timeout-s", type=_count_from_1, default=300, metavar="N", help="for all workers; 300, if not given"
        )


def _add_audit(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    verify = actions.add_parser("verify", help="walk the chain, print its head; exit code 1 if it is broken")
    verify.add_argument("--head", type=_hash, help="an earlier head, noted elsewhere, that it must hold")
    listing = actions.add_parser("list", help="number, time (UTC), actor, action, target and facts, one a line")
    listing.add_argument("--last", type=_count_from_1, default=20, metavar="N", help="20, if not given")


if __name__ == "__main__":
    main()
