"""Runs one config on one directory again and again, each process killed at a random
moment; forked, so that only the first has to import. Usage: FOLDER CONFIG DEATHS.
"""

import json
import os
import random
import signal
import sys
import threading

from nfml_jax.training.loop import train_and_evaluate
from tests.training.regression import Regression


class Mortal(Regression):
    """A process that ends up to 0.3 seconds after its second validation."""

    def validate(self, variables, apply):
        if self.validations == 1:
            kill = threading.Timer(0.3 * random.random(), os.kill, (os.getpid(), 9))
            kill.daemon = True
            kill.start()
        return super().validate(variables, apply)


folder, config, deaths = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3])
random.seed(0)
for _ in range(deaths):
    seed = random.random()
    child = os.fork()
    if not child:
        random.seed(seed)
        train_and_evaluate(Mortal, config, folder)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        sys.exit(f"not killed: {status}")
