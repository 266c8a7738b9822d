"""Colours of plots and boxes, distinct for people with any colour vision (Okabe and Ito 2008)."""

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, RED = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#f0e442",
    "#56b4e9",
    "#d55e00",
)
GRAY = "#8a8f98"
PALETTE = [BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW]
