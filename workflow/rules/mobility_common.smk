"""What the rules of the mobility branch read: scenarios, what networks asked for, the potential."""

import functools
from types import SimpleNamespace

from glideflow.mobility.queries import read_query
from glideflow.mobility.scenarios import ID_PATTERN, initial_scenarios, scenario_from_id, trajectory_file
from glideflow.potentials.select import find

MOBILITY = f"{RESULTS}/mobility"
SHIPPED_MOBILITY = f"{MOBILITY}/shipped"
MOBILITY_SETTINGS = SETTINGS.mobility


wildcard_constraints:
    scenario=ID_PATTERN,
    iteration=r"\d+",


@functools.cache
def mobility_potential():
    """The potential of the branch; a run of another branch need not have it."""
    try:
        return find(SETTINGS.potentials, Path.cwd(), MOBILITY_SETTINGS.potential)
    except GlideflowError as error:
        raise WorkflowError(str(error)) from None


def scenario_options(wildcards):
    """Options of `glideflow mobility run` for one trajectory."""
    return scenario_from_id(wildcards.scenario).options


def trajectories_of(wildcards):
    """Trajectories that a training learns from: the initial ones, and what was asked for before."""
    iteration = int(wildcards.iteration)
    names = asked_for(iteration - 1).next_scenarios if iteration else [each.id for each in FIRST_SCENARIOS]
    return [f"{RESULTS}/{trajectory_file(name)}" for name in names]


def asked_for(iteration):
    """The query after a training; until it is there, Snakemake knows no more of the DAG."""
    return read_query(Path(checkpoints.mobility_query.get(iteration=iteration).output[0]))


def last_iteration():
    """Number of the training after which nothing was asked for."""
    iterations = MOBILITY_SETTINGS.learning.iterations
    return next((number for number in range(iterations) if asked_for(number).done), iterations)


def every_trajectory(wildcards):
    """All trajectories that are simulated."""
    iteration = last_iteration() if MOBILITY_SETTINGS.learning.iterations else 0
    return trajectories_of(SimpleNamespace(iteration=iteration))


def every_query(wildcards):
    """Every query of the run, where there is learning."""
    if not MOBILITY_SETTINGS.learning.iterations:
        return []
    return [f"{MOBILITY}/iterations/{number}/query.json" for number in range(last_iteration() + 1)]


def before(file):
    """Function of the wildcards: a file of the iteration before in a list, which is empty for the first one."""

    def files(wildcards):
        iteration = int(wildcards.iteration)
        return [f"{MOBILITY}/iterations/{iteration - 1}/{file}"] if iteration else []

    return files


def shipped_mobility_page():
    """The page on them in a list, which is empty where the configuration does not ask for it."""
    return [f"{SHIPPED_MOBILITY}/mobility.html"] if MOBILITY_SETTINGS.shipped_page else []


def last_model(file):
    """Function of the wildcards: a file of the last training."""
    return lambda wildcards: f"{MOBILITY}/iterations/{last_iteration()}/{file}"


FIRST_SCENARIOS = initial_scenarios(MOBILITY_SETTINGS)
DYNAMICS = MOBILITY_SETTINGS.dynamics
TRAINED = MOBILITY_SETTINGS.learning.iterations > 0 or MOBILITY_SETTINGS.learning.whole_grid
"""Whether there is an ensemble."""
VALIDATED = TRAINED and MOBILITY_SETTINGS.network.training.test_fraction > 0
"""Whether there are trajectories that it has not seen."""
