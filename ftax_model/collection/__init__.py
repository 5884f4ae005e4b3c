"""The collection stage: workloads, frameworks and a device in; measurements out."""
