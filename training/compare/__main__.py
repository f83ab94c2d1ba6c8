"""Compare models and adapters side by side: held-out loss, answers against references, multiple choice, a judge; every
number with its confidence interval, in one table.

How to run:
    python -m training.compare --config training/recipes/compare/welfare.yaml
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from shared.errors import ConfigError
from shared.settings import load_settings
from training.compare.recipe import CompareRecipe
from training.config import load_recipe


def main() -> int:
    """Returns: the exit code. 0 compared, 2 the recipe is wrong."""
    parser = argparse.ArgumentParser(
        prog="training.compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="RECIPE", help="YAML, see training/recipes/compare/"
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="where relative paths begin (NUNMAL_DATA_DIR)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of the CPU; 1, if not given")
    asked = parser.parse_args()
    try:
        recipe = load_recipe(asked.config, CompareRecipe)
        import torch  # seconds of imports, which --help and a wrong recipe need not wait for

        from training.compare.page import markdown
        from training.compare.run import compare

        torch.set_num_threads(asked.threads)
        print(markdown(compare(recipe, asked.data_dir or load_settings().data_dir)))
    except (ConfigError, ValidationError, OSError) as error:
        sys.stderr.write(f"training.compare: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
