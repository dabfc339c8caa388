from __future__ import annotations

from glideflow.potentials.bundled import load_bundled
from glideflow.potentials.relatives import relative


def test_a_model_is_known_in_any_version() -> None:
    for version in ("005", "006"):
        known = relative(f"EAM_Dynamo_MishinMehlPapaconstantopoulos_2001_Cu__MO_346334655118_{version}", "Cu")
        assert known is not None
        assert known.family == "Cu-F03"
    assert relative("EAM_Dynamo_X__MO_346334655118_005", "Al") is None
    assert relative("2016--Mendelev-M-I--Ti-1--LAMMPS--ipr1", "Cu") is None


def test_models_that_ship_with_lammps_too_are_in_the_same_family() -> None:
    families = {potential.id: potential.family for potential in load_bundled().potentials}
    twins = {
        "MO_106969701023 Al": "Al_2008Mendelev_Al_eam-fs",
        "MO_807997826449 Fe": "Fe_2003Mendelev_Fe_eam-fs",
        "MO_884343146310 Fe": "Fe_2004Ackland_Fe_eam-fs",
        "MO_848345414202 Mg": "Mg_2006Sun_Mg_eam-fs",
        "MO_537826574817 Zr": "Zr_2007Mendelev_Zr_eam-fs",
        "MO_262519520678 Cu": "Cu_2012Jelinek_Cu_meam",
    }
    for key, potential_id in twins.items():
        model, element = key.split()
        known = relative(f"X__{model}_000", element)
        assert known is not None
        assert known.family == families[potential_id], key


def test_flags_ask_for_caution() -> None:
    swapped = relative("MEAM_LAMMPS_KimSeolJi_2017_PtCu__MO_070797404269_000", "Cu")
    assert swapped is not None
    assert (swapped.status, "no energy minimum" in swapped.flags[0]) == ("caution", True)
