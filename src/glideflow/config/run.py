"""The whole configuration of a run."""

from __future__ import annotations

from pydantic import Field

from glideflow.config.base import Section
from glideflow.config.elastic import ElasticSettings
from glideflow.config.engine import EngineSettings
from glideflow.config.gamma_surface import GammaSurfaceSettings
from glideflow.config.lattice import LatticeSettings
from glideflow.config.library import LibrarySettings
from glideflow.config.mobility import MobilitySettings
from glideflow.config.peierls_nabarro import PeierlsNabarroSettings
from glideflow.config.peierls_paper import PeierlsPaperSettings
from glideflow.config.peierls_series import PeierlsSeriesSettings
from glideflow.config.peierls_stress import PeierlsStressSettings
from glideflow.config.potentials import PotentialsSettings
from glideflow.config.slip_systems import PRIMARY_SLIP_SYSTEMS, SlipSystemSettings
from glideflow.config.subsets import SubsetSettings
from glideflow.config.transfer import TransferSettings
from glideflow.property_specs import DEFAULT_PROPERTIES, Property


class RunSettings(Section):
    """Configuration of one run of the workflow; a tier is one such file."""

    name: str = Field(default="library", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)
    """Name of the run; results go to ``<results>/<name>`` and partial results to ``<work>/<name>``."""
    results: str = "results"
    """Folder of finished results."""
    work: str = "work"
    """Folder of partial results, from which interrupted steps resume."""
    seed: int = Field(default=20240311, ge=0, le=2**64 - 1)
    """Seed of everything random."""
    properties: tuple[Property, ...] = DEFAULT_PROPERTIES
    """Properties that are computed."""
    subsets: tuple[SubsetSettings, ...] = ()
    """Properties of the above that are computed for a part of the potentials only, because they take long."""
    potentials: PotentialsSettings = PotentialsSettings()
    """Interatomic potentials."""
    engine: EngineSettings = EngineSettings()
    """Engine and limits of one job."""
    lattice: LatticeSettings = LatticeSettings()
    """Lattice constants."""
    elastic: ElasticSettings = ElasticSettings()
    """Elastic constants."""
    gamma_surface: GammaSurfaceSettings = GammaSurfaceSettings()
    """γ surfaces."""
    peierls_stress: PeierlsStressSettings = PeierlsStressSettings()
    """Peierls stresses."""
    peierls_series: PeierlsSeriesSettings = PeierlsSeriesSettings()
    """Peierls stresses in cells of several sizes, and their whole error."""
    peierls_paper: PeierlsPaperSettings = PeierlsPaperSettings()
    """Peierls stresses by fixed strain steps and LAMMPS' own minimiser."""
    peierls_nabarro: PeierlsNabarroSettings = PeierlsNabarroSettings()
    """Peierls stresses by continuum models, from elastic constants and γ surface alone."""
    slip_systems: tuple[SlipSystemSettings, ...] = PRIMARY_SLIP_SYSTEMS
    """Slip systems; each applies to the potentials of its structure."""
    library: LibrarySettings = LibrarySettings()
    """How results are gathered."""
    transfer: TransferSettings = TransferSettings()
    """Models that predict Peierls stresses from elastic constants and γ surfaces."""
    mobility: MobilitySettings = MobilitySettings()
    """Moving dislocations: cells and molecular dynamics."""
