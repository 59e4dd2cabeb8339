"""Whether a cell's record keeps to the schema and agrees with itself, its configuration and its parameters."""

from harness.records.fault import Fault
from harness.records.leave_out import leave_out_faulty
from harness.records.parameter_faults import parameter_faults
from harness.records.record_faults import provenance_faults, record_faults

__all__ = ["Fault", "leave_out_faulty", "parameter_faults", "provenance_faults", "record_faults"]
