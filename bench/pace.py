from typing import Final

STREAMS: Final = 100
CHUNKS: Final = 150
PAUSE_SECONDS: Final = 0.04
