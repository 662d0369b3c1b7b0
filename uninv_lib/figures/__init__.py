"""Every plot of the book. Each function returns a Figure and shows nothing; captions belong to the
page.

A figure is 4.8 inches wide, which are some 320 pixels on a phone: 10 points of type are about as
many pixels there.
"""

from uninv_lib.support.extras import needs

with needs("figures"):
    from uninv_lib.figures.charts import bands, bars, curves, points, rate_curves, rates, scatter
    from uninv_lib.figures.forest import forest
    from uninv_lib.figures.images import diagram, pictures
    from uninv_lib.figures.palette import DEFENSE_STYLE
    from uninv_lib.figures.spots import spots
    from uninv_lib.figures.strengths import panels, tradeoff

__all__ = [
    "DEFENSE_STYLE",
    "bands",
    "bars",
    "curves",
    "diagram",
    "forest",
    "panels",
    "pictures",
    "points",
    "rate_curves",
    "rates",
    "scatter",
    "spots",
    "tradeoff",
]
