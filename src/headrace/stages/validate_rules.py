"""placeholder"""


def compile_rules(contract):
    return None
