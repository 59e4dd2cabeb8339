"""Whether a cell's record keeps to the schema and agrees with itself, its configuration and its parameters."""

from harness.validation.fault import Fault
from harness.validation.leave_out import leave_out_faulty
from harness.validation.parameters import parameter_faults
from harness.validation.record import provenance_faults, record_faults

__all__ = ["Fault", "leave_out_faulty", "parameter_faults", "provenance_faults", "record_faults"]
