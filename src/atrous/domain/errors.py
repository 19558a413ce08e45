"""Every error that atrous raises on purpose, as one tree.

AtrousError
├── BadInput             what the caller gave can't be used
│   ├── BadImage         an image that can't be read, or is too large to be
│   ├── BadDataset       a data set with faults, or one that is not recognised
│   ├── BadPackage       a model package that is incomplete, damaged or not understood
│   ├── BadModelId       a model id that is not `project/version`
│   └── BadRequest       a request whose fields are not understood
├── NotFound             a model, key, run or project that does not exist
│   └── NotInstalled     a foundation model that was not added to this installation
├── NotAllowed           a key that is wrong, expired or revoked, or lacks a scope
│   └── KeyMissing       no key at all where one is needed
├── Conflict             something of that name exists already
├── Busy                 a queue is full or a resource is not ready: try again
├── Unavailable          the database or the S3 does not answer: try again
├── DamagedBlob          stored bytes that are no longer what was stored
├── DamagedDatabase      a file that SQLite can't read as its database
├── DiskFull             no room for what was to be stored; nothing of it was
├── MissingDependency    an optional part of the installation is needed for this
├── TrainingFailed       a training stopped and can't go on as it is
│   └── OutOfMemory      one of several processes of a training lacks memory
└── ExportRefused        an exported network does not agree with the trained one

A message gives the value, what was expected and the remedy. `atrous.server.errors` maps these to
HTTP statuses, `atrous.cli.main` to exit codes; nothing else does.
"""


class AtrousError(Exception):
    """The root: a failure that atrous understands and can explain."""


class BadInput(AtrousError):
    """What the caller gave can't be used."""


class BadImage(BadInput):
    """An image that can't be read, or is too large to be."""


class BadDataset(BadInput):
    """A data set with faults, or one whose format is not recognised."""


class BadPackage(BadInput):
    """A model package that is incomplete, damaged or not understood."""


class BadModelId(BadInput):
    """A model id that is not `project/version`."""


class BadRequest(BadInput):
    """A request whose fields are not understood."""


class NotFound(AtrousError):
    """A model, key, run or project that does not exist."""


class NotInstalled(NotFound):
    """A foundation model that was not added to this installation."""


class NotAllowed(AtrousError):
    """A key that is wrong, expired or revoked, or lacks a scope."""


class KeyMissing(NotAllowed):
    """No key at all where one is needed."""


class Conflict(AtrousError):
    """Something of that name exists already."""


class Busy(AtrousError):
    """A queue is full or a resource is not ready: try again."""


class Unavailable(AtrousError):
    """The database, or the S3 that keeps the files, does not answer: try again."""


class DamagedBlob(AtrousError):
    """Stored bytes that are no longer what was stored."""


class DamagedDatabase(AtrousError):
    """A file that SQLite can't read as its database."""


class DiskFull(AtrousError):
    """No room for what was to be stored; nothing of it was."""


class MissingDependency(AtrousError):
    """An optional part of the installation is needed for this."""


class TrainingFailed(AtrousError):
    """A training stopped and can't go on as it is."""


# What torch says where the CPU has no memory left; CUDA has an error of its own.
CPU_ALLOCATION = ("DefaultCPUAllocator", "can't allocate memory", "not enough memory")


class OutOfMemory(TrainingFailed):
    """One of several processes of a training lacks memory: all have to begin again with less."""


class ExportRefused(AtrousError):
    """An exported network does not agree with the trained one."""
