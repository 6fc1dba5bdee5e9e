from omegaconf import OmegaConf

from holdfast.core.yaml_text import as_yaml


def test_text_is_that_of_omegaconf_and_reads_back_as_it_was() -> None:
    values = {
        "lr": 1e-3,
        "text": ["1e-3", "on", "true", "12", "null", "a: b", "ü" * 90, ""],
        "none": None,
        "flag": True,
        "empty": {"list": [], "dict": {}},
        "interpolation": "${lr}",
    }
    text = as_yaml(values)
    assert text == OmegaConf.to_yaml(OmegaConf.create(values))
    assert OmegaConf.to_container(OmegaConf.create(text)) == values
