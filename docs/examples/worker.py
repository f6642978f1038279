"""A pool of forked workers that publish their progress, as Celery's are: `python worker.py`.

With Celery, call `open()` in a function that `worker_process_init` calls.
"""

import multiprocessing

from tannoy import Publisher

publisher = Publisher()


def start_worker() -> None:
    publisher.open()


def work(job: int) -> int:
    publisher.to_room("jobs", {"job": job, "status": "begun"})
    result = job * job
    publisher.to_room("jobs", {"job": job, "status": "done", "result": result}, key=f"done-{job}")
    return result


if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2, initializer=start_worker) as pool:
        print(sum(pool.map(work, range(10))))
