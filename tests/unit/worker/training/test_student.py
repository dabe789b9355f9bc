"""What a student is, and what deepmd-kit cannot compress, known from the spec alone."""

import pytest
from pydantic import ValidationError

from pfd_operator.contract.result import ExitCode, Reason
from pfd_operator.contract.stage import TrainParams
from pfd_operator.contract.student import Preset, Student, StudentTraining
from pfd_operator.contract.training import Training
from pfd_worker.errors import StageError
from pfd_worker.training.student import compression_obstacle, student_model_section

FITTING = {"neuron": [8]}
STRIPPED = {"type": "dpa1", "attn_layer": 0, "tebd_input_mode": "strip"}


def test_without_a_word_the_student_is_small_and_compressed():
    assert Student() == Student(preset=Preset.SMALL, compress=True)
    assert Student.model_validate({"compress": False}).preset is Preset.SMALL
    assert Student.model_validate({"model": {"descriptor": {}, "fitting_net": {}}}).preset is None


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"preset": "small", "model": {"descriptor": {}, "fitting_net": {}}}, "exactly one"),
        ({"preset": "tiny"}, "preset"),
        ({"model": {"descriptor": {}, "fitting_net": {}}, "cutoff": 5}, "rcut"),
        ({"model": {"descriptor": {}, "fitting_net": {}, "type_map": ["Si"]}}, "type_map"),
        ({"model": {"descriptor": {}}}, "fitting_net"),
        ({"cutoff": 0.5}, "cutoff"),
    ],
)
def test_a_contradictory_student_is_refused_by_name(given, named):
    with pytest.raises(ValidationError, match=named):
        Student.model_validate(given)


@pytest.mark.parametrize("preset", Preset)
def test_presets_can_be_compressed_and_take_a_cutoff(preset):
    section = student_model_section(Student(preset=preset, cutoff=4.5), ["Si", "Ge"])
    assert section["type_map"] == ["Si", "Ge"] and section["descriptor"]["rcut"] == 4.5
    assert compression_obstacle(section) is None
    assert student_model_section(Student(preset=preset), ["Si"])["descriptor"]["rcut"] in (5.0, 6.0)


def test_a_model_section_is_taken_as_it_is():
    model = {"descriptor": {"type": "dpa3", "repflow": {"nlayers": 1}}, "fitting_net": FITTING}
    section = student_model_section(Student(model=model, compress=False), ["C"])
    assert section == {"type_map": ["C"], **model}


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ({"descriptor": {"type": "dpa2"}}, "descriptor.type is dpa2"),
        ({"descriptor": {"type": "dpa1", "tebd_input_mode": "strip"}}, "attn_layer"),
        ({"descriptor": {"type": "se_atten", "attn_layer": 0}}, "tebd_input_mode"),
        ({"descriptor": {"type": "se_e2_a", "resnet_dt": True}}, "resnet_dt"),
        ({"descriptor": {"type": "se_a", "activation_function": "sin"}}, "activation_function is sin"),
        (
            {"descriptor": {"type": "hybrid", "list": [{"type": "se_e2_a"}, {"type": "dpa3"}]}},
            r"list\[1\].type is dpa3",
        ),
        ({"descriptor": {"type": "se_e2_a"}, "type": "linear_ener"}, "linear_ener"),
        ({"descriptor": {"type": "se_e2_a"}, "spin": {}}, "spin"),
    ],
)
def test_what_cannot_be_compressed_is_refused_before_training_with_the_key_to_change(model, named):
    student = Student(model={"fitting_net": FITTING, **model})
    with pytest.raises(StageError, match=named) as caught:
        student_model_section(student, ["Si"])
    assert caught.value.reason is Reason.STUDENT_NOT_COMPRESSIBLE
    assert caught.value.exit_code is ExitCode.USER_ERROR
    assert "spec.student.compress" in str(caught.value)
    student_model_section(student.model_copy(update={"compress": False}), ["Si"])


@pytest.mark.parametrize(
    "descriptor",
    [
        {"type": "se_e2_a"},
        {"type": "se_r"},
        STRIPPED,
        {"type": "se_atten_v2", "attn_layer": 0},
        {"type": "se_atten", "attn_layer": 0, "stripped_type_embedding": True},
        {"type": "hybrid", "list": [{"type": "se_e2_a"}, STRIPPED]},
    ],
)
def test_what_can_be_compressed_is_let_through(descriptor):
    student = Student(model={"descriptor": descriptor, "fitting_net": FITTING})
    assert student_model_section(student, ["Si"])["descriptor"] == descriptor


def test_defaults_of_fine_tuning_do_not_leak_into_a_student_on_its_way_through_json():
    given = StudentTraining.model_validate({"steps": 500})
    arrived = TrainParams.model_validate(TrainParams(training=given, max_failed_fraction=0).to_json()).training
    assert type(arrived) is Training
    assert arrived == Training(steps=500, batch_size=1, learning_rate_start=5e-3, learning_rate_stop=1e-5)
