"""Loaded by Schemathesis in its own process."""

import os
from typing import Any

import schemathesis
from schemathesis import Case, CheckContext, HookContext, Response

from interface.openapi.document import described, errors_of

MODEL_SERVER = os.environ["MODEL_SERVER"]
CODES = {
    operation.name: {
        status.value: set(map(area.errors.name_of, codes))
        for status, codes in errors_of(operation, area.errors)
    }
    for area, operation in described().values()
}


@schemathesis.hook
def before_call(context: HookContext, case: Case[Any], _kwargs: dict[str, Any]) -> None:
    """No server but the one of this test is asked for anything, whatever address was made up."""
    if isinstance(case.body, dict) and isinstance(case.body.get("base_url"), str):
        case.body["base_url"] = MODEL_SERVER


@schemathesis.check
def documented_code(context: CheckContext, response: Response, case: Case[Any]) -> None:
    """An error's code is one that the operation names for this status."""
    operation = case.operation
    if case.method.lower() != operation.method.lower():
        return  # it was to be refused
    codes = CODES[operation.definition.raw["operationId"]].get(response.status_code)
    if codes is not None:
        said = response.json()
        assert said.get("error", said)["code"] in codes, response.text
