# Run the collectors of OpenNebula's own exporter once; print what they set, and what they raised, as JSON.
# Usage: ruby stock_exporter.rb FOLDER_OF_THE_EXPORTER STATE_JSON
# The gem prometheus-client is replaced: the collectors only need a registry whose gauges can be set.
require 'json'

module Prometheus
    module Client
        class Metric
            attr_reader :samples

            def initialize(labels)
                @names   = labels.to_a
                @samples = {}
            end

            def set(value, labels: {})
                raise ArgumentError, "labels #{labels}" unless labels.keys.sort == @names.sort

                @samples[labels] = value
            end
        end

        class Registry
            attr_reader :metrics

            def initialize
                @metrics = {}
            end

            def gauge(name, docstring:, labels: [])
                raise ArgumentError, "#{name} without a text" if docstring.empty?

                @metrics[name] = Metric.new(labels)
            end
        end

        module DataStores
            class Synchronized; end
        end

        def self.registry
            @registry ||= Registry.new
        end
    end
end

folder, state = ARGV
$LOADED_FEATURES << 'prometheus/client.rb'
require File.join(folder, 'opennebula_collector')

collectors = Prometheus::Middleware::OpenNebulaCollector.new(nil).instance_variable_get(:@collectors)
raised = collectors.map do |collector|
    collector.instance_variable_set(:@state_file, state)
    begin
        collector.collect
        nil
    rescue StandardError => e
        "#{collector.class}: #{e.message}"
    end
end

samples = Prometheus::Client.registry.metrics.flat_map do |name, metric|
    metric.samples.map {|labels, value| [name, labels, value] }
end
puts JSON.generate('samples' => samples, 'raised' => raised.compact)
