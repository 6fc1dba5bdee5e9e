"""Train one experiment, or sweep over many: `python train.py optimizer=adam lr=3e-4`, `python train.py -m seed=0,1,2`.

The same as `holdfast train`. Without arguments: digits, a small MLP; fit and validate. `--help` for more.
"""

import sys

sys.path.append(sys.path.pop(0))  # this folder comes last: a secrets.py or hydra.py in it is not Python's or Hydra's

from holdfast.cli.train import main

if __name__ == "__main__":
    main()
