# One image for the web, the worker and the one-shot commands: what differs is the command.

FROM python:3.13-slim AS product
WORKDIR /app
# requirements-tracing.lock: also what OpenTelemetry needs.
ARG REQUIREMENTS=requirements.lock
COPY requirements.lock requirements-tracing.lock ./
# The lock alone says which versions, whatever pip is set to in the base image. Wheels only: there is
# no compiler here, and none is wanted.
RUN python -m venv /venv \
 && PIP_CONSTRAINT=/dev/null /venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
    --only-binary :all: --require-hashes -r "$REQUIREMENTS" \
 && /venv/bin/python -m pip uninstall --yes pip
COPY . .
# Readable for whom it runs as, however strict the umask was where it was checked out.
RUN chmod -R a+rX . && /venv/bin/python -m compileall -q .

FROM python:3.13-slim
# A number, so that whoever runs it can see that it is not root; the folders are what it may own.
RUN groupadd --gid 10001 llm-chat \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin llm-chat \
 && install -d -o 10001 -g 10001 /app/data /app/uploads /secrets/app /secrets/postgres /secrets/redis
COPY --from=product /venv /venv
COPY --from=product /app /app
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["python", "main.py"]
CMD ["dev", "--host", "0.0.0.0"]
