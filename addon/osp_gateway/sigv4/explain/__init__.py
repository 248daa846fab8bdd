"""Why a signature does not match: `explain` recomputes it under named hypotheses and tells which one fits.

`reading` reads a request's signature without judging it, `case` takes the request apart; `addressing`, `paths`,
`queries`, `fields`, `scopes` and `secrets` hold the hypotheses, `facts` what can be seen without any; `search` tries
them, alone and in pairs, and `report` shows what was found. `transcript` reads requests that people paste.
"""

from osp_gateway.sigv4.explain.knowledge import Cause, Check, Knowledge
from osp_gateway.sigv4.explain.report import Explanation, Row
from osp_gateway.sigv4.explain.search import explain

__all__ = ["Cause", "Check", "Explanation", "Knowledge", "Row", "explain"]
