"""`doctor`: whether this machine and this installation let scalekern run as it should.

Nothing here imports another part of the package, or what it depends on, before a check needs it:
the doctor must be able to speak where an import fails.
"""

from scalekern.checkup.doctor import doctor
from scalekern.checkup.findings import Checkup, Finding

__all__ = ["Checkup", "Finding", "doctor"]
