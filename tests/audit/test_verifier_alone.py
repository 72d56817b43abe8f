"""An auditor runs the verifier with the standard library and one Ed25519 check."""

import subprocess
import sys

SCRIPT = """
import sys

class Only:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names | {"guardian", "cryptography", "_cffi_backend", "cffi"}:
            raise ImportError(f"{name} is more than the standard library")

sys.meta_path.insert(0, Only())
import guardian.audit.export, guardian.audit.verify, guardian.audit.verify_proofs
print(sorted(name for name in sys.modules if name.startswith("guardian.")))
"""


def test_the_verifier_imports_nothing_but_the_standard_library_and_cryptography():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rooms = {name.split(".")[1] for name in eval(run.stdout)}  # noqa: S307  # our own list of names
    assert rooms == {"audit", "errors"}
