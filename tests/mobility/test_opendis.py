from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from glideflow.config.mobility_network import MobilityFeatureSettings
from glideflow.errors import PropertyError
from glideflow.mobility.laws import LocalLaw, MobilityLaw, NodeVelocities, drag_law
from glideflow.mobility.line_dynamics import LineProblem, circular_loop, resolved_stress_mpa
from glideflow.mobility.line_forces import LineConditions
from glideflow.mobility.opendis import OpenDisMobility, lines_of, read_network

BURGMAG = 2.48e-10
DRAG_PA_S = 85e-6
LAW = drag_law(screw_drag_mpa_ps=200.0, edge_drag_mpa_ps=85.0, burgers_angstrom=2.48)
SAME = drag_law(screw_drag_mpa_ps=85.0, edge_drag_mpa_ps=85.0, burgers_angstrom=2.48)


@dataclass
class Manager:
    """Stands in for OpenDiS' DisNetManager, whose `export_data` gives a dictionary of this layout."""

    data: dict[str, Any]

    def export_data(self) -> dict[str, Any]:
        return self.data


@dataclass(frozen=True)
class WholeLines:
    """A law that looks at whole lines and offers nothing else, as an ensemble of networks does."""

    law: LocalLaw = SAME
    name: str = "whole lines"
    burgers_angstrom: float | None = None

    def node_velocities(self, conditions: LineConditions) -> NodeVelocities:
        return self.law.node_velocities(conditions)

    def samples(self, count: int, seed: int) -> list[MobilityLaw]:
        return []


def exported(
    positions: Any, segments: Any, burgers: Any, planes: Any, *, box: float = 100.0, pinned: tuple[int, ...] = ()
) -> dict[str, Any]:
    """A network in units of burgmag; tags are (0, 10), (0, 11), …"""
    count = len(positions)
    return {
        "cell": {"h": box * np.eye(3), "origin": np.zeros(3), "is_periodic": [True, True, True]},
        "nodes": {
            "tags": np.array([[0, 10 + number] for number in range(count)]),
            "positions": np.asarray(positions, dtype=float),
            "constraints": np.array([[7 if number in pinned else 0] for number in range(count)]),
        },
        "segs": {
            "nodeids": np.asarray(segments),
            "burgers": np.asarray(burgers, dtype=float),
            "planes": np.asarray(planes, dtype=float),
        },
    }


def straight(burgers: tuple[float, float, float], planes: Any = (0.0, 0.0, 1.0)) -> dict[str, Any]:
    """One line along y through the border of the cell, its segments of unequal lengths and one against its sense."""
    positions = [[20.0, 10.0, 50.0], [20.0, 40.0, 50.0], [20.0, 80.0, 50.0]]
    segments = [[0, 1], [2, 1], [2, 0]]
    vectors = [burgers, tuple(-component for component in burgers), burgers]
    return exported(positions, segments, vectors, [planes] * 3)


def loop(sides: int = 12, radius: float = 20.0) -> dict[str, Any]:
    angle = -2 * np.pi * np.arange(sides) / sides
    positions = np.column_stack([50 + radius * np.cos(angle), 50 + radius * np.sin(angle), np.full(sides, 50.0)])
    numbers = np.arange(sides)
    segments = np.column_stack([numbers, (numbers + 1) % sides])
    return exported(positions, segments, [[1.0, 0, 0]] * sides, [[0, 0, 1.0]] * sides)


def forces_of(data: dict[str, Any], stress_pa: np.ndarray) -> dict[str, Any]:
    """Peach-Koehler forces of an applied stress, half of each segment's on either node, as OpenDiS has them."""
    network = read_network(data, 1e-10)  # lengths as they are in the data
    forces = np.zeros((len(network.tags), 3))
    for (first, second), vector, burgers in zip(
        network.nodes, network.vectors_angstrom, network.burgers_angstrom, strict=True
    ):
        forces[[first, second]] += 0.5 * np.cross(stress_pa @ burgers, vector)
    return {"burgmag": BURGMAG, "nodeforces": forces, "nodeforcetags": data["nodes"]["tags"]}


def shear(stress_pa: float) -> np.ndarray:
    tensor = np.zeros((3, 3))
    tensor[0, 2] = tensor[2, 0] = stress_pa
    return tensor


def test_an_edge_has_the_velocity_of_the_law_in_units_of_opendis() -> None:
    data = straight((1.0, 0.0, 0.0))
    state = forces_of(data, shear(500e6))
    assert OpenDisMobility(LAW, state, temperature_k=300.0).Mobility(Manager(data), state) is state
    # v = τb/B, in Burgers vectors per second τ/B; +b along +y glides along -x
    np.testing.assert_allclose(state["nodevels"], [[-500e6 / DRAG_PA_S, 0, 0]] * 3, rtol=1e-9, atol=1)
    np.testing.assert_array_equal(state["nodeveltags"], data["nodes"]["tags"])
    np.testing.assert_array_equal(state["vel_dict"][(0, 11)], state["nodevels"][1])


def test_a_screw_without_a_plane_glides_along_its_force() -> None:
    data = straight((0.0, 1.0, 0.0), planes=(0.0, 0.0, 0.0))
    stress = np.zeros((3, 3))
    stress[1, 2] = stress[2, 1] = 300e6
    stress[0, 1] = stress[1, 0] = 400e6
    state = forces_of(data, stress)
    OpenDisMobility(LAW, state, temperature_k=300.0).Mobility(Manager(data), state)
    np.testing.assert_allclose(np.linalg.norm(state["nodevels"], axis=1), 500e6 / 200e-6, rtol=1e-9)
    directions = [each / np.linalg.norm(each, axis=1)[:, None] for each in (state["nodevels"], state["nodeforces"])]
    np.testing.assert_allclose(directions[0], directions[1], atol=1e-12)


def test_forces_may_come_as_a_dictionary_and_in_any_order() -> None:
    data = loop()
    state = forces_of(data, shear(500e6))
    mobility = OpenDisMobility(LAW, state, temperature_k=300.0)
    expected = mobility.Mobility(Manager(data), dict(state))["nodevels"]
    shuffled = {**state, "nodeforces": state["nodeforces"][::-1], "nodeforcetags": state["nodeforcetags"][::-1]}
    np.testing.assert_array_equal(mobility.Mobility(Manager(data), shuffled)["nodevels"], expected)
    tags = [tuple(tag) for tag in state["nodeforcetags"]]
    by_tag = {"nodeforce_dict": dict(zip(tags, state["nodeforces"], strict=True))}
    np.testing.assert_array_equal(mobility.Mobility(Manager(data), by_tag)["nodevels"], expected)
    with pytest.raises(PropertyError, match="without the forces on 12 of 12 nodes"):
        mobility.Mobility(Manager(data), {})


def test_one_node_is_as_fast_as_among_all() -> None:
    data = loop()
    state = forces_of(data, shear(500e6))
    mobility = OpenDisMobility(LAW, state, temperature_k=300.0)
    mobility.Mobility(Manager(data), state)
    expected, force = state["nodevels"].copy(), state["nodeforces"][3]
    alone = mobility.OneNodeMobility(Manager(data), state, (0, 13), force, update_state=False)
    np.testing.assert_allclose(alone, expected[3], rtol=1e-12)
    mobility.OneNodeMobility(Manager(data), state, (0, 13), 2 * force)
    np.testing.assert_allclose(state["nodevels"][3], 2 * expected[3], rtol=1e-12)
    np.testing.assert_array_equal(np.delete(state["nodevels"], 3, 0), np.delete(expected, 3, 0))
    empty: dict[str, Any] = {}
    mobility.OneNodeMobility(Manager(data), empty, (0, 13), force)
    assert empty["nodeveltags"].tolist() == [[0, 13]]
    np.testing.assert_array_equal(empty["nodevels"], [alone])
    with pytest.raises(PropertyError, match=r"no node with the tag \(0, 99\)"):
        mobility.OneNodeMobility(Manager(data), state, (0, 99), force)


def test_pinned_nodes_stay_and_junctions_keep_to_all_their_planes() -> None:
    positions = [[50.0, 50, 50], [50, 60, 50], [60, 50, 50], [50, 50, 60]]
    segments, burgers = [[1, 0], [2, 0], [0, 3]], [[1.0, 0, 0], [0, 1.0, 0], [1.0, 1.0, 0]]
    data = exported(positions, segments, burgers, [[0, 0, 1.0], [0, 0, 1.0], [1.0, -1.0, 0]], pinned=(1, 2, 3))
    state = {"nodeforces": np.tile([3.0e8, 1.0e8, 5.0e8], (4, 1)), "nodeforcetags": data["nodes"]["tags"]}
    mobility = OpenDisMobility(SAME, {"burgmag": BURGMAG}, temperature_k=300.0)
    found = mobility.Mobility(Manager(data), state)["nodevels"]
    # The planes (001) and (1-10) have the direction [110] in common; three arms of 10 b, half of each.
    expected = np.array([2.0e8, 2.0e8, 0.0]) / (3 * 0.5 * 10 * DRAG_PA_S)
    np.testing.assert_allclose(found[0], expected, rtol=1e-9)
    np.testing.assert_array_equal(found[1:], 0.0)
    cut = OpenDisMobility(SAME, {"burgmag": BURGMAG}, temperature_k=300.0, largest_speed_m_per_s=10.0)
    slow = cut.Mobility(Manager(data), state)["nodevels"][0]
    assert np.linalg.norm(slow) * BURGMAG == pytest.approx(10.0)


def test_laws_of_whole_lines_see_the_lines_of_the_network() -> None:
    data = loop(16)
    cell, (circle,) = circular_loop(49.6, (248.0,) * 3, 2.48, 16)
    medium = MobilityFeatureSettings(images=1)
    stress = resolved_stress_mpa(700.0, circle.burgers_angstrom)
    radius = np.linalg.norm((circle.nodes_fractional[0] - 0.5) @ cell) / 2.48  # that of the circle's area
    data = loop(16, radius)
    problem = LineProblem(
        lines=(circle,), cell_angstrom=cell, applied_stress_mpa=stress, temperature_k=300.0, medium=medium
    )
    expected = SAME.node_velocities(problem.conditions(problem.lines)).vectors_angstrom_per_ps
    data["cell"]["h"] = np.eye(3) * 100.0
    state = {"burgmag": BURGMAG, "applied_stress": np.array([0, 0, 0, 0, 700e6, 0])}
    OpenDisMobility(WholeLines(), state, temperature_k=300.0, medium=medium).Mobility(Manager(data), state)
    np.testing.assert_allclose(state["nodevels"] * BURGMAG / 100, expected, rtol=1e-6, atol=1e-6)


def test_lines_are_followed_through_borders_and_against_their_sense() -> None:
    network = read_network(straight((1.0, 0.0, 0.0)), BURGMAG)
    (line,), order = lines_of(network)
    assert (line.topology, line.period.tolist(), order.tolist()) == ("infinite", [0, 1, 0], [0, 1, 2])
    assert line.length_angstrom(network.cell_angstrom) == pytest.approx(248.0)
    np.testing.assert_allclose(line.burgers_angstrom, [2.48, 0, 0])


def test_networks_that_a_law_cannot_take_are_refused() -> None:
    mobility = OpenDisMobility(WholeLines(), {"burgmag": BURGMAG}, temperature_k=300.0)
    stress = {"applied_stress": np.zeros(6)}
    branched = loop()
    branched["segs"]["nodeids"] = np.vstack([branched["segs"]["nodeids"], [0, 6]])
    branched["segs"]["burgers"] = np.vstack([branched["segs"]["burgers"], [0, 1.0, 0]])
    branched["segs"]["planes"] = np.vstack([branched["segs"]["planes"], [0, 0, 1.0]])
    with pytest.raises(PropertyError, match="2 nodes of the network that have not two arms"):
        mobility.Mobility(Manager(branched), dict(stress))
    inclined = loop()
    inclined["segs"]["planes"][:] = [1.0, 0, 1.0]
    with pytest.raises(PropertyError, match="inclined to the first two cell vectors"):
        mobility.Mobility(Manager(inclined), dict(stress))
    free = loop()
    free["cell"]["is_periodic"] = [True, True, False]
    with pytest.raises(PropertyError, match="not periodic in all directions"):
        mobility.Mobility(Manager(free), dict(stress))
    changed = loop()
    changed["segs"]["burgers"][4] = [0, 1.0, 0]
    with pytest.raises(PropertyError, match="Burgers vector changes at the node"):
        mobility.Mobility(Manager(changed), dict(stress))
    with pytest.raises(PropertyError, match="an applied stress of"):
        mobility.Mobility(Manager(loop()), {})
    with pytest.raises(PropertyError, match="missing or wrong"):
        mobility.Mobility(Manager({"cell": {}}), dict(stress))
    with pytest.raises(PropertyError, match="burgmag = 0"):
        OpenDisMobility(SAME, {}, temperature_k=300.0)


@pytest.mark.parametrize(
    ("part", "value", "named"),
    [
        (("segs", "nodeids"), [[0, 1], [1, 2], [2, 9]], "ends at no node"),
        (("segs", "burgers"), np.full((3, 3), np.nan), "not finite"),
        (("segs", "planes"), np.zeros((2, 3)), "another number"),
        (("cell", "h"), np.zeros((3, 3)), "without volume"),
    ],
)
def test_networks_whose_parts_do_not_fit_are_refused(part: tuple[str, str], value: Any, named: str) -> None:
    data = straight((1.0, 0.0, 0.0))
    data[part[0]][part[1]] = np.asarray(value)
    with pytest.raises(PropertyError, match=named):
        read_network(data, BURGMAG)


@pytest.mark.parametrize("temperature_k", [0.0, -3.0, math.nan])
def test_a_temperature_that_is_none_is_refused(temperature_k: float) -> None:
    with pytest.raises(PropertyError, match="a temperature of"):
        OpenDisMobility(SAME, {"burgmag": BURGMAG}, temperature_k=temperature_k)


def test_pydis_moves_a_loop_by_our_law_as_by_its_own() -> None:
    reason = "needs OpenDiS' Python folders python and core/pydis/python on PYTHONPATH"
    pydis = pytest.importorskip("pydis", reason=reason)
    manager = pytest.importorskip("framework.disnet_manager", reason=reason)
    sides = 20
    data = loop(sides)
    nodes = np.column_stack([data["nodes"]["positions"], np.zeros(sides)])
    segments = np.hstack([data["segs"]["nodeids"], data["segs"]["burgers"], data["segs"]["planes"]])
    cell = pydis.Cell(h=100.0 * np.eye(3), is_periodic=[True, True, True])

    def network() -> Any:
        return manager.DisNetManager(pydis.DisNet(cell=cell, rn=nodes.copy(), links=segments.copy()))

    state = {"burgmag": BURGMAG, "mu": 64e9, "nu": 0.3, "a": 1.0, "mob": 1 / DRAG_PA_S}
    stress = np.array([0, 0, 0, 0, 900e6, 0])
    ends = []
    for mobility in (
        pydis.MobilityLaw(state=state, mobility_law="SimpleGlide", vmax=1e99),
        OpenDisMobility(SAME, state, temperature_k=300.0),
    ):
        moving, own = network(), {**state, "applied_stress": stress}
        force = pydis.CalForce(state=own, force_mode="LineTension", Ec=1e9)
        steps = pydis.TimeIntegration(state=own, integrator="EulerForward", dt=1e-14)
        for _ in range(5):
            own = force.NodeForce(moving, own)
            own = mobility.Mobility(moving, own)
            one = mobility.OneNodeMobility(moving, own, (0, 3), own["nodeforce_dict"][(0, 3)], update_state=False)
            np.testing.assert_allclose(one, own["vel_dict"][(0, 3)], rtol=1e-9)
            own = steps.Update(moving, own)
        ends.append(moving.get_disnet().pos_array())
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-10)
    assert np.abs(ends[0] - data["nodes"]["positions"]).max() > 0.1
