from tracker import Model


def test_it_is_made():
    assert Model().last == 0.0
