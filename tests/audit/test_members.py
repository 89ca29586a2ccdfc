import numpy as np
import pytest

from lotus_unlearning.audit.members import Chosen, Member, Wanted

LABELS = np.arange(100) % 7
CHOSEN = Chosen(forget=(3, 10, 11, 40, 41, 42), gone=(50, 51))


def member(kind, number=0, **more):
    return Member(kind=kind, number=number, made_of="x", **more)


def test_golds_see_all_but_what_is_to_be_forgotten_or_gone():
    found = set(member("gold").trained_on(LABELS, CHOSEN).tolist())
    assert found == set(range(100)) - set(CHOSEN.forget) - set(CHOSEN.gone)


def test_each_image_is_in_exactly_half_of_the_shadows():
    none = Chosen(forget=CHOSEN.forget)
    seen = np.zeros(100, dtype=int)
    for number in range(8):
        seen[member("shadow", number).trained_on(LABELS, none)] += 1
    assert (seen == 4).all()


def test_shadows_do_not_depend_on_what_is_to_be_forgotten_but_never_see_what_is_gone():
    one, other = (
        member("shadow", 3).trained_on(LABELS, chosen)
        for chosen in (CHOSEN, Chosen((1, 2), CHOSEN.gone))
    )
    assert np.array_equal(one, other)
    assert not set(one) & set(CHOSEN.gone)


@pytest.mark.parametrize("count", [1, 3, 6])
def test_so_many_images_are_put_back(count):
    found = set(member("put-back", put_back=count).trained_on(LABELS, CHOSEN).tolist())
    assert len(found & set(CHOSEN.forget)) == count
    assert not found & set(CHOSEN.gone)
    other = set(member("put-back", 1, put_back=count).trained_on(LABELS, CHOSEN).tolist())
    assert (found == other) == (count == len(CHOSEN.forget)), "others, unless it is all of them"


def test_no_two_members_share_a_name_or_a_seed():
    wanted = Wanted(golds=20, shadows=20, put_back=(1, 2, 5), repeats=4)
    found = list(wanted.members("a", "b"))
    assert len(found) == 20 + 20 + 12
    assert len({m.key for m in found}) == len({m.seed for m in found}) == len(found)


def test_golds_of_another_forget_set_have_other_names_but_shadows_the_same():
    wanted = Wanted(golds=1, shadows=2)
    one, other = (list(wanted.members(golds, "same")) for golds in ("a", "b"))
    assert one[0].key != other[0].key
    assert [m.key for m in one[1:]] == [m.key for m in other[1:]]


@pytest.mark.parametrize(
    "wanted",
    [Wanted(golds=-1), Wanted(shadows=3), Wanted(put_back=(0,)), Wanted(put_back=(7,))],
)
def test_numbers_that_make_no_sense_are_refused(wanted):
    with pytest.raises(ValueError, match="even number of shadows, and 1 to 6 images put back"):
        wanted.require(6)
