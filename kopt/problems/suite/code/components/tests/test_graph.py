from components import component_sizes, neighbours


def test_no_nodes_have_no_components():
    assert component_sizes(0, []) == []


def test_nodes_without_edges_stand_alone():
    assert component_sizes(3, []) == [1, 1, 1]


def test_edges_join():
    assert component_sizes(6, [(0, 1), (1, 2), (4, 5), (2, 0)]) == [3, 2, 1]


def test_an_edge_to_itself_joins_nothing():
    assert component_sizes(2, [(1, 1)]) == [1, 1]


def test_neighbours_are_named_once():
    assert neighbours([(0, 1), (1, 0), (2, 0), (1, 2)], 0) == [1, 2]
