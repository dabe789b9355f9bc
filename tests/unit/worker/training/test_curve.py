import math

import pytest

from pfd_worker.training.curve import CurvePoint, last_row

DEEPMD = "# step rmse_trn rmse_e_trn rmse_f_trn lr\n# nan means no data\n 1 2.0 0.1 0.5 1e-3\n 10 1.0 nan 0.25 1e-4\n"
SEVENNET = "epoch,lr,trainset_Force_RMSE (eV/Å)\n1,0.001000,0.5\n2,0.000900,0.25\n"


def test_the_last_complete_line_of_a_growing_curve_is_read(tmp_path):
    path = tmp_path / "lcurve.out"
    assert last_row(path) is None
    path.write_text(DEEPMD + " 20 0.9")
    assert last_row(path) == {
        "step": "10", "rmse_trn": "1.0", "rmse_e_trn": "nan", "rmse_f_trn": "0.25", "lr": "1e-4",
    }  # fmt: skip
    path.write_text(SEVENNET + "3,0.0")
    assert last_row(path, ",") == {"epoch": "2", "lr": "0.000900", "trainset_Force_RMSE (eV/Å)": "0.25"}


def test_a_header_alone_is_no_point(tmp_path):
    path = tmp_path / "lc.csv"
    path.write_text(SEVENNET.splitlines()[0] + "\n")
    assert last_row(path, ",") is None


@pytest.mark.parametrize(("loss", "diverged"), [(1.0, False), (math.nan, True), (math.inf, True)])
def test_a_loss_that_is_not_a_number_is_seen(loss, diverged):
    assert CurvePoint(1, loss, None).diverged is diverged
