"""From an order to an end: the zygote forks, a shim looks after each run, the job's side becomes the job."""
