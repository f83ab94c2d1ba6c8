"""How many workers N people need: `python -m infra.capacity --users 10000 --ttft 2`.

    --profile llama-8b-h100            a file of infra/capacity/profiles, or a path (how fast one worker is)
    --questions-per-hour 0.42          of one person, averaged over the whole day: 10 a day
    --prompt 400 1500 --answer 300 900 tokens: half are at most the first number, 95 % at most the second
    --ttft 2 --percentile 95           the goal: so many percent of first texts within so many seconds
    --workers 12                       what so many workers give, instead of the smallest number
    --minutes 30                       how long a window is simulated, around the middle of the busiest hour
    --day W0 .. W23                    24 weights, how much is asked in each hour of the day
    --picture plan.svg                 draws what was tried
    --json                             everything as one JSON object

The same seed gives the same numbers. Wrong input ends with a sentence and code 2.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from infra.capacity.demand import DAY, Demand, Lengths
from infra.capacity.picture import draw
from infra.capacity.plan import Goal, Outcome, Plan, observed, smallest
from infra.capacity.profile import Profile, load_profile
from infra.capacity.simulation import simulate
from shared.errors import ConfigError


def main(arguments: list[str] | None = None) -> None:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        _answer(options)
    except ConfigError as error:
        parser.exit(2, f"{error}\n")


def _answer(options: argparse.Namespace) -> None:
    profile = load_profile(options.profile)
    prompt, answer = Lengths(*options.prompt), Lengths(*options.answer)
    demand = Demand(options.users, options.questions_per_hour, prompt, answer, tuple(options.day))
    goal = Goal(options.ttft, options.percentile)
    questions = demand.questions(options.seed, options.minutes)
    if options.workers is None:
        plan = smallest(questions, profile, goal)
    else:
        answers = simulate(questions, profile, options.workers)
        only = observed(answers, profile, options.workers, goal.percentile)
        plan = Plan(only, [only])
    if options.picture:
        title = f"{demand.users:,} people, {profile.model} on {profile.device} ({profile.kind})"
        draw(plan, goal, title, options.picture)
    sys.stdout.write(_as_json(plan) if options.json else _table(plan, demand, profile, goal))


def _as_json(plan: Plan) -> str:
    told = {"smallest": asdict(plan.smallest), "tried": [asdict(each) for each in plan.tried]}
    return json.dumps(told, indent=1) + "\n"


def _table(plan: Plan, demand: Demand, profile: Profile, goal: Goal) -> str:
    most = demand.per_second(demand.busiest_hour + 0.5)
    lines = [
        f"profile    {profile.model} on {profile.device}, {profile.kind} {profile.date}, {profile.slots} slots",
        f"demand     {demand.users:,} people, {most:.2f} questions/s in the busiest hour",
        f"goal       {goal.percentile:g} % of first texts within {goal.ttft_s:g} s",
        "",
        f"{'workers':>8}{'p50 s':>9}{f'p{goal.percentile:g} s':>9}{'mean s':>9}{'wait s':>9}"
        f"{'tokens/s':>10}{'ms/token':>10}{'slots':>8}{'at once':>9}",
        *(_row(each, goal) for each in plan.tried),
        "",
        f"{plan.smallest.workers} workers {_judged(plan.smallest, goal)}; none is spare for one that fails",
    ]
    return "\n".join(lines) + "\n"


def _judged(outcome: Outcome, goal: Goal) -> str:
    return "meet the goal" if outcome.ttft_goal_s <= goal.ttft_s else "do not meet the goal"


def _row(outcome: Outcome, goal: Goal) -> str:
    return (
        f"{outcome.workers:>8,}{outcome.ttft_p50_s:>9.2f}{outcome.ttft_goal_s:>9.2f}{outcome.ttft_mean_s:>9.2f}"
        f"{outcome.waited_mean_s:>9.2f}{outcome.tokens_per_s:>10,.0f}{1000 * outcome.token_s:>10.1f}"
        f"{outcome.busy:>8.0%}{outcome.running:>9,.1f}{'  *' if outcome.ttft_goal_s <= goal.ttft_s else ''}"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", default="reference-cpu")
    parser.add_argument("--users", type=int, required=True)
    parser.add_argument("--questions-per-hour", type=float, default=0.42)
    parser.add_argument("--prompt", type=float, nargs=2, default=(400, 1500), metavar=("MEDIAN", "P95"))
    parser.add_argument("--answer", type=float, nargs=2, default=(300, 900), metavar=("MEDIAN", "P95"))
    parser.add_argument("--ttft", type=float, default=2.0)
    parser.add_argument("--percentile", type=float, default=95.0)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--day", type=float, nargs=24, default=DAY, metavar="W")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", action="store_true")
    return parser


if __name__ == "__main__":
    main()
