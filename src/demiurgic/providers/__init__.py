"""Who answers: one file per service or engine, found by name, behind the one protocol of `base`.

    @PROVIDERS.register("openai")
    def openai(context: Context, *, model: str, base_url: str | None = None) -> Provider: ...

Called with a context, a chosen provider opens what it needs and gives a `Provider`, to be closed after use.
"""

from typing import Annotated

from demiurgic.core.registry import Choice, Registry

PROVIDERS = Registry("providers", package="demiurgic.providers")
ProviderChoice = Annotated[Choice, PROVIDERS]
