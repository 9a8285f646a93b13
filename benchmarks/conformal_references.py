"""Conformal sets and intervals beside those of crepes and MAPIE on the same scores and models; prints the differences.

Needs ``crepes`` and ``mapie``, which nothing else does:
``PYTHONPATH=scripts python benchmarks/conformal_references.py``
"""

import numpy as np
from crepes import ConformalClassifier, ConformalRegressor
from mapie.regression import CrossConformalRegressor
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from seqlm.metrics.conformal import Conformity, class_sets, intervals

draw = np.random.default_rng(0)

truth, given = draw.normal(size=300), draw.normal(size=300)
theirs = ConformalRegressor().fit(truth - given).predict_int(given, confidence=0.9)
ours = intervals(Conformity.of(truth, given, values=True), given[None], 0.9)
print("split, values, crepes: largest difference", np.abs(theirs - ours).max())

classes, given = draw.integers(0, 3, 300), draw.dirichlet([1, 1, 1], 300)
new = draw.dirichlet([1, 1, 1], 200)
conformity = Conformity.of(classes, given)
classifier = ConformalClassifier()
classifier.fit(conformity.scores, bins=classes)
theirs = np.stack(
    [
        classifier.predict_set(1 - new, bins=np.full(200, y), confidence=0.9, smoothing=False)[:, y] > 0
        for y in range(3)
    ],
    axis=1,
)
ours = class_sets(conformity, new[None], 0.9)
filled = theirs.sum(axis=1) == 0
print("split, classes by class, crepes: different sets", int((theirs != ours)[~filled].any(axis=1).sum()), "of 200,",
      int(filled.sum()), "that crepes leaves empty")  # fmt: skip

features = draw.normal(size=(200, 5))
values = features @ draw.normal(size=5) + draw.normal(size=200)
unseen = draw.normal(size=(50, 5))
folds = KFold(10)
mapie = CrossConformalRegressor(Ridge(), confidence_level=0.9, method="plus", cv=folds)
theirs = mapie.fit_conformalize(features, values).predict_interval(unseen)[1][:, :, 0]
members, left_out, models = np.empty(200, int), np.empty(200), []
for number, (rest, held) in enumerate(folds.split(features)):
    models.append(Ridge().fit(features[rest], values[rest]))
    members[held], left_out[held] = number, models[-1].predict(features[held])
ours = intervals(
    Conformity.of(values, left_out, members, values=True), np.stack([m.predict(unseen) for m in models]), 0.9
)
print("CV+, values, MAPIE: largest difference", np.abs(theirs - ours).max())
