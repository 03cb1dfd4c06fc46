"""Bijectors on eight fake devices give what they give on one."""


def test_bijectors_on_eight_devices(on_fake_devices):
    on_fake_devices("bijector_devices.py", 8)
