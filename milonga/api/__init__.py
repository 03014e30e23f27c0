"""The public API, `/api/v1`: one table of routes, from which come checking, answers and their description."""
