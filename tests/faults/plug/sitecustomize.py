"""
Python runs this at its start wherever this folder is on its path. Where the fault suite says so in the environment, our
functions are wrapped before `milonga` begins: so nothing in the product knows of faults, and nothing of this costs it.
"""

import os

if "MILONGA_FAULTS" in os.environ:
    from tests.faults.plug.steps import install

    install()
