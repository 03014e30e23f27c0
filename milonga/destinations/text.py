"""Text that can be put on a wire."""

from milonga.spec.text import well_formed as well_formed
