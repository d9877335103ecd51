"""All that is described, in the order of reading."""

from collections.abc import Sequence
from typing import Final

from interface.openapi.accounts import ACCOUNTS
from interface.openapi.api_configs import API_CONFIGS
from interface.openapi.api_tokens import API_TOKENS
from interface.openapi.files import FILES
from interface.openapi.generations import GENERATIONS
from interface.openapi.health import HEALTH
from interface.openapi.messages import MESSAGES
from interface.openapi.openai import OPENAI
from interface.openapi.operation import Area
from interface.openapi.personas import PERSONAS
from interface.openapi.quick_start import QUICK_START
from interface.openapi.responses import RESPONSES
from interface.openapi.sessions import SESSIONS

AREAS: Final[Sequence[Area]] = (
    SESSIONS,
    MESSAGES,
    GENERATIONS,
    FILES,
    PERSONAS,
    API_CONFIGS,
    ACCOUNTS,
    API_TOKENS,
    QUICK_START,
    OPENAI,
    RESPONSES,
    HEALTH,
)
