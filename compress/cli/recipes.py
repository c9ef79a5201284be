"""`compress recipes`: the recipes that ship with the tool, and the steps that there are."""

from __future__ import annotations

from typing import Annotated

import typer

from compress.cli import options as o
from compress.cli.console import Console


def list_recipes(json: o.Json = False) -> None:
    """List the recipes."""
    from compress.core.profile import load_recipe, recipe_names

    recipes = {name: load_recipe(name) for name in recipe_names()}
    console = Console(as_json=json)
    if json:
        console.json({"recipes": {name: recipe.model_dump() for name, recipe in recipes.items()}})
    else:
        from compress.cli.tables import recipe_table

        console.print(recipe_table(recipes))


def show(
    name: Annotated[str, typer.Argument(help="A recipe's name or file.")],
    json: o.Json = False,
) -> None:
    """Show one recipe with all keys of its steps, as YAML that `--recipe` takes."""
    import yaml

    from compress.core.profile import load_recipe
    from compress.pipeline.steps import check_chain, with_export

    recipe = with_export(load_recipe(name))
    steps = [{step.name: step.config.model_dump(mode="json")} for step in check_chain(recipe)]
    lists = {"formats": list(recipe.formats), "unless": list(recipe.unless)}
    given = {key: values for key, values in lists.items() if values}
    document = {"why": recipe.why, "runtime": recipe.runtime, **given, "steps": steps}
    console = Console(as_json=json)
    if json:
        console.json(document)
    else:
        console.document(yaml.safe_dump(document, sort_keys=False).rstrip())


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    recipes = typer.Typer(help="List and show recipes.", no_args_is_help=True)
    recipes.command("list")(list_recipes)
    recipes.command()(show)
    app.add_typer(recipes, name="recipes")
