"""
Python runs this at its start wherever this folder is on its path. Where the fault suite says so in the environment, our
functions are wrapped before `milonga` begins: so nothing in the product knows of faults, and nothing of this costs it.
"""

import os
import traceback

if "MILONGA_FAULTS" in os.environ:
    try:
        from tests.faults.plug.steps import install

        install()
    except BaseException:  # Python itself would say so and go on, without the steps
        traceback.print_exc()
        os._exit(70)
