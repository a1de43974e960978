"""Jobs as Python objects: the way of the Django app that akjob grew out of, onto job files.

    from akjob.models import Job, JobCallable
    job = Job(name="Print Hello World")
    job.job_code_object = JobCallable(print, "Hello", "World")
    job.run_every = timedelta(hours=2)
    job.save()  # jobs.d/print-hello-world.toml and print-hello-world.dill

Days of the week count from 1 = Sunday to 7 = Saturday. Times are local at their ``…_tz_offset_timedelta``, else UTC.
What is assigned is checked at once: TypeError for what is of the wrong type, ValueError for what cannot be.
"""

from akjob.code.calls import JobCallable
from akjob.models.job import Job, ValidationError, own_job

__all__ = ["Job", "JobCallable", "ValidationError", "own_job"]
