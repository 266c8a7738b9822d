"""Colours of plots and frames, by Okabe and Ito (2008): people with any colour vision can tell them apart."""

BLUE, ORANGE, GREEN, PINK, YELLOW, SKY, RED = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#f0e442",
    "#56b4e9",
    "#d55e00",
)
GREY = "#8a8f98"
PALETTE = [BLUE, ORANGE, GREEN, PINK, SKY, RED, YELLOW]
