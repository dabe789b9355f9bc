"""Settings that must hold before numpy is imported."""

import os

# Matrices of MD are 3 by 3: on a busy machine the threads of OpenBLAS made NPT nine times slower
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
